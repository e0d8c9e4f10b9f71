"""Inkling says at every frame which action is under way or about to happen, from streams of people.

    from inkling.client import AsyncClient, Client      # what users need; the base install has all of it

The folders `service/`, `models/` and `training/` of the repository are `inkling.service`, `inkling.models` and
`inkling.training`: the three links beside this file. CONTRIBUTING.md says why.
"""
