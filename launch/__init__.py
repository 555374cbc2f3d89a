"""How an experiment reaches machines; see README.md beside this file."""
