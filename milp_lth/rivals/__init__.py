"""Other ways to find a subnetwork, on the same data and judged alike; one method a file."""
