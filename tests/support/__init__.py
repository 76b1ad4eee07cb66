"""What the tests share: databases cloned from a template, and the running system."""
