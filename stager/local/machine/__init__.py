"""The local machine of an app: its stack's box, in a container or a virtual machine, that runs the very droplet.

`state` is what is kept beside the app, `providers` decides what holds the machine, `boxes` and `image` give its box,
`vagrantfile` and `guest_files` write what Vagrant brings up, `driver` runs Vagrant, `driving` holds a machine in hand, `ssh`
talks to it, `up` puts them in order, `dev` keeps its files in step, `status`, `checking` and `logs` look at it.
`docs/up.md` is for users.
"""
