"""`python -m warmline`: the command line, where its command is not on the path."""

from warmline.cli.main import main

if __name__ == "__main__":
    main()
