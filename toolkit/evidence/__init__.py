"""What a verification proved, kept, signed and told to people: technician, data-protection officer, elected official."""
