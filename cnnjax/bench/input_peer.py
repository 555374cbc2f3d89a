"""Streamed batches, as a peer: ``python -m cnnjax.bench.input_peer REQUEST``; see `cnnjax.bench.input`."""

import json
import sys
import time


def main() -> None:
    """See `cnnjax.bench.peer`."""
    asked = json.loads(sys.argv[1])
    from cnnjax.data import crops, stream

    crop = crops.Crop(asked["side"], asked["side"], area=tuple(asked["area"]), aspect=tuple(asked["aspect"]))
    examples = stream.Examples(asked["name"], "train", crop, data_dir=asked["data_dir"])
    training = stream.Training(examples, asked["batch"], seed=0)
    with stream.Reader(training, 0, 2**31 - 1, asked["workers"], print) as reader:

        def run(steps: int) -> float:
            for _ in range(asked["ahead"]):
                next(reader)
            start = time.perf_counter()
            for _ in range(steps):
                next(reader)
            return time.perf_counter() - start

        run(1)
        print(json.dumps({"version": "cnnjax"}), flush=True)
        for line in sys.stdin:
            print(json.dumps({"seconds": run(json.loads(line)["steps"])}), flush=True)


if __name__ == "__main__":
    main()
