"""The lifelong benchmark: many methods, the same sessions, the same base, the same examination."""
