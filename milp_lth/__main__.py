"""``python -m milp_lth``: the same as ``milp-lth``."""

from milp_lth.cli.main import main

if __name__ == "__main__":
    main()
