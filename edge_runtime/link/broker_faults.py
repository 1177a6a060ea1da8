"""What a broker's refusal or certificate means, and what to do about it."""

TAKEN_OVER = "Session taken over"
REFUSED_CREDENTIALS = (134, 135, 140)  # Bad user name or password, Not authorized, Bad authentication method
REMEDIES = {  # reason codes of CONNACK
    132: "it does not speak MQTT 5; use one that does, such as mosquitto 2",
    133: "choose another name for this node",
    154: "status and birth must be retained; allow retained messages (mosquitto: retain_available true)",
    155: "messages need QoS 1; allow it (mosquitto: max_qos 1)",
} | dict.fromkeys(REFUSED_CREDENTIALS, "check user and password")
CERTIFICATE_FAULTS = {  # X509_V_ERR_... of OpenSSL
    7: "it is signed by another authority than that of ca_file",
    9: "it is not valid yet; see whether the clock of this machine is right",
    10: "it has expired; renew it on the broker",
    18: "it is signed by itself; name this certificate as ca_file, if it is the broker's",
    19: "it is signed by another authority than that of ca_file",
    20: "it is signed by another authority than that of ca_file",
    62: "it names another host than the one in `host`",
    64: "it names another address than the one in `host`",
}
