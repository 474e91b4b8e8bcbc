"""PrioMon in real time: what runs on a machine that is monitored. Needs psutil and click, never numpy.

`sampler` measures this machine, `recorder` writes what it measures to a file that the simulator can replay.
"""
