"""Other programs' APIs, as thin doors onto holdfast's own stores."""
