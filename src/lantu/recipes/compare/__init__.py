"""lantu against its rivals at equal budgets: ``lantu compare``.

systems.py     what is compared, as data
planning.py    costs, steps, which trainings there are
work.py        runs steps in processes of their own; the results of finished ones are kept
training.py    starts a training, resumes it, or extends a shorter one
measuring.py   scores of a model
generators.py  keeps its drawings and captions on disk
operations.py  what a picture costs
table.py       the figures
columns.py     the table that people read
rule.py        equal budgets, checked
page.py        the report
comparing.py   runs all of it, in order
"""
