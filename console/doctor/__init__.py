"""`mailcascade doctor`: checks a set-up before it hurts, and says what mends it."""
