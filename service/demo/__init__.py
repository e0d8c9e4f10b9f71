"""What `inkling demo` shows: a moving figure of our own (`figure`) and the live terminal (`screen`)."""
