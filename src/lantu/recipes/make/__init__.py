"""From a folder of pictures to a model: the single commands of lantu, composed.

look.py      what the data is, and what can't be learnt from it
plan.py      recipes, sizes and steps for the time there is, by measured rates
timing.py    what trainings will take, measured before they begin; the time that is left
training.py  adopts, measures, plans and runs the trainings, group by group
stages.py    runs commands, side by side where cores allow; finished ones are not repeated
curves.py    learning curves, and what more time would buy
report.py    what came out, as a page with pictures
making.py    all of it, in order
"""
