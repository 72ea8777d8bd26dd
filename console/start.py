"""placeholder until the app stands"""
def start(options): raise SystemExit(0)
