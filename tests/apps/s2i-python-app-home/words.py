GREETING = "hello from s2i-python-app-home"
