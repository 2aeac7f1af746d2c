"""What the operating system gives: files, locks, the machine, threads."""
