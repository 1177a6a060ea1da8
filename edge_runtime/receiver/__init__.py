"""The other end of the wire: messages checked, decoded and accounted for."""
