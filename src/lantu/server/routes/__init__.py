"""The routes, and what they share: fields of bodies, pictures from clients, answers."""
