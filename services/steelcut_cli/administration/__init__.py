"""What ``auth_service.administration`` and ``auth_service.transfer`` can do, as commands for a terminal."""
