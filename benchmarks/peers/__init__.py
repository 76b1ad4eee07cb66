"""Other people's authorization servers, as their documentation sets them up, under the load of ours."""
