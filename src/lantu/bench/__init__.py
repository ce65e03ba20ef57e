"""How fast lantu drafts and renders, beside others on the same weights, in one run.

machine.py    what this machine is, and what its memory and arithmetic could do at best
task.py       what is measured: a model and a request, shipped or made up in a given size
drafting.py   those who draft; exported.py is what OpenVINO gets
rendering.py  those who render
rounds.py     timing: everyone in turn, again and again
run.py        all of it
report.py     table and chart
"""

from lantu.bench.run import bench

__all__ = ["bench"]
