"""Who may do what: tokens and their roles, cookies of signed-in browsers, allowed hosts and origins, quotas.

`middleware` stands in front of the whole application; everything else here is pure, but for the file of tokens.
"""
