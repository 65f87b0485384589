"""A Celery application that gives itself sixty tasks: each works for 20 ms of CPU time, and says its process and the CPU time of that."""

import os
import time

from celery import Celery
from celery.signals import worker_ready

folder = os.environ["TASKS"]
app = Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {"data_folder_in": folder, "data_folder_out": folder, "processed_folder": folder}
app.conf.task_ignore_result = True


@app.task
def burn():
    end = time.thread_time() + 0.02
    while time.thread_time() < end:
        sum(range(2000))
    os.write(1, f"{os.getpid()} task {time.process_time():.6f}\n".encode())


@worker_ready.connect
def fill(**_):
    for _ in range(60):
        burn.delay()
