"""lantu against its rivals at equal budgets: ``lantu compare``.

systems.py     what is compared, as data
planning.py    costs, steps, which trainings there are
work.py        steps in processes of their own, kept and not repeated
training.py    a training: begun, gone on with, grown
measuring.py   scores of a model
generators.py  its drawings and captions, kept
operations.py  what a picture costs
table.py       the figures
columns.py     the table that people read
rule.py        equal budgets, checked
page.py        the report
comparing.py   all of it, in order
"""
