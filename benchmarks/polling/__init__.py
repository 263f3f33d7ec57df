"""What waiting for runs costs, and how late it hears of their end."""
