bind = "127.0.0.1:1"
worker_class = "gthread"
threads = 2
