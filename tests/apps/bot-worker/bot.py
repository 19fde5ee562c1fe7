import time

print("listening for messages", flush=True)
while True:
    time.sleep(60)
