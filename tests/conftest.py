"""What holds for every test."""

from hypothesis import settings

# No deadline: a slow machine is no failure. Derandomised: a commit passes or fails alike for everyone.
settings.register_profile("priomon", deadline=None, derandomize=True)
settings.load_profile("priomon")
