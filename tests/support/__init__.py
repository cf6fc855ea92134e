"""What tests share: servers, apps, worker processes, waiting."""
