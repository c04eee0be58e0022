"""What ``coord COMMAND`` runs, and what its commands share."""
