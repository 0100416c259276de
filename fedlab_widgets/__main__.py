"""`python -m fedlab_widgets`: the command line where the `fedlab` script is not on the path."""

from .cli import main

if __name__ == "__main__":   # a spawned worker imports this file again
    main()
