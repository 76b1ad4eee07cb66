"""What both services stand on, and how they are configured (needs the extra ``server``)."""
