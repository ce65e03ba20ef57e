"""How fast lantu drafts and renders, beside other engines on the same weights, in one run.

machine.py    this machine, and the best that its memory and arithmetic can reach
task.py       what is measured: a model and a request, the shipped ones or random ones of a given size
drafting.py   engines that draft; exported.py is the graph for OpenVINO
rendering.py  engines that render
rounds.py     timing: all in turn, again and again
run.py        the whole measurement
report.py     table and chart
"""

from lantu.bench.run import bench

__all__ = ["bench"]
