"""What an agent receives with a device: configuration, remote desktop, certificate, installer and a sheet that explains it."""
