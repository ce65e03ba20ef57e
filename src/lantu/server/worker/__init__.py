"""The one thread that computes, and the jobs that wait for it."""
