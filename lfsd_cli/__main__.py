"""`python -m lfsd_cli`, also what `accelerate launch -m lfsd_cli learn ...` runs."""

from lfsd_cli.main import entry

if __name__ == "__main__":
    entry()
