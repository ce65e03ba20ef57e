"""How fast lantu drafts and renders, beside other engines on the same weights, in one run.

machine.py    this machine, and the best that its memory and arithmetic can reach
task.py       what is measured: a model and a request, the shipped ones or random ones of a given size
drafting.py   engines that draft; exported.py is the graph for OpenVINO
rendering.py  engines that render
peers.py      an engine, and what to expect of it
roofline.py   the bound of the machine on drafting
turns.py      who is timed when, within a cap on time
rounds.py     timing of a few things, all in turn
run.py        the whole measurement
report.py     table and chart
"""

from lantu.bench.run import bench

__all__ = ["bench"]
