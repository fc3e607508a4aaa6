"""Provisional."""
class Shown:
    def record(self, r): return True
    def all_of(self, s): return True
    def frame(self, s): return True
def shows(folder): return Shown()
