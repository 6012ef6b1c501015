"""The terminal front end of lfsd: parse, call the core, print."""
