"""What a training would take on devices that are not here: its step compiled ahead of time, and read.

One step, a batch in and a state out, is compiled as the trainer would have it; nothing is run. `topology` knows the devices,
`worker` compiles, `compiled` asks it, `collectives` reads the program, `roofline` estimates its time,
`published` says how fast others were, and `report` puts it together.
"""
