"""The pictures of the documentation: `python -m tests.pictures` draws them all into docs/pictures, as SVG.

`flow`, `skeletons` and `observed_share` say what the code says, and a test compares them. `fall` and `board` run a real
server; their numbers differ a little from run to run.
"""
