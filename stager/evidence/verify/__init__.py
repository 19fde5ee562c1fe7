"""Proving that a droplet is what its source says, and naming the first cause when it is not.

`conditions` are the ways in which the second staging differs from the first, `restaging` does it in a process of its own,
`causes` compares whole files and names what differs, `results` says it to people and to CI.
"""
