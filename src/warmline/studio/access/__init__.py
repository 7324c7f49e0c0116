"""Who may use the Studio: passwords, sign-ins, roles."""
