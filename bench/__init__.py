"""The benchmarks: one run on one machine, everything beside what it is to be compared with."""
