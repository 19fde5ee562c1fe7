"""The local machine of an app: its stack's box, in a container or a virtual machine, that runs the very droplet.

`folder` is what is kept beside the app, `providers` decides what holds the machine, `boxes` and `image` give its box,
`vagrantfile` and `guest_files` write what Vagrant brings up, `driver` runs Vagrant, `guest` talks to the running machine, `up`
puts them in order, `dev` keeps its files in step, `looking`, `checking` and `logs` look at it. `docs/up.md` is for users.
"""
