"""The words in which relays say the same few things, as patterns that ignore case."""

from typing import Final

RATE: Final = (
    r"throttl|rate[- ]?limit|rate (?:has been |is |was )?exceed|sending rate|unusual (?:rate"
    r"|amount)"
    r"|(?:unexpected|excessive|high) volume|volume (?:of|from)|slow(?:ing)? down"
    r"|too (?:many|much) (?!hops|attachments|headers|received|invalid|bad|wrong|unknown|errors)"
    r"|too (?:fast|quickly|frequent)|frequency.{0,12}limit|concurren|thread limit"
    r"|max(?:imum)?(?: number of)? (?:messages?|connections?|recipients?)"
    r"|(?:exceeded|reached) (?:the |your |its )?(?:maximum|max|allowed|allotted|limit)"
)
SEND_QUOTA: Final = (
    r"\b(?:daily|hourly|weekly|monthly|sending|send|submission|outgoing|outbound|smtp|relay"
    r"|per[- ](?:second|minute|hour|day|month))\b[^.;]{0,40}\b(?:quota|limits?|rate|allowance)\b"
    r"|\b(?:quota|limits?|allowance)\b[^.;]{0,40}"
    r"\b(?:per (?:second|minute|hour|day)|today|24 hours|daily|hourly)\b"
    r"|credits? (?:exhausted|exceeded)|(?:out of|no|insufficient) (?:\w+ )?credits?\b"
)
MAILBOX_FULL: Final = (
    r"(?:mail ?box|inbox|folder|account|user|recipient)\b[^.;]{0,60}?"
    r"(?:\bfull\b|quota|out of (?:storage|space)|storage (?:limit|space)|too much|exceed)"
    r"|\bfull (?:mail|in)box|over ?quota|disk quota|not enough (?:storage|space)"
)
BLOCKED: Final = (
    r"black ?-?list(?!ed by recipient)|block ?-?list|deny ?-?list|dnsbl|\b[rd]bl\b|spamhaus|spamcop"
    r"|sorbs|barracuda|uceprotect|senderscore|cloudmark|listed (?:at|in|on|by)(?! recipient)"
    r"|is listed|blocked using"
    r"|reputation|banned|permanently deferred|not in whitelist"
    r"|(?:your|this|the|sending|client|remote|mail from|connecting|source) "
    r"(?:ip|host|server|network|mta)\b[^;]{0,60}"
    r"(?:blocked|rejected|refused|denied|spam|not allowed)"
    r"|\bip\b.{0,30}\b(?:blocked|rejected|refused)|access denied, (?:please|bad|spam)"
    r"|connections? (?:will )?not (?:be )?accepted from|not allowed to connect|user complaints"
    r"|access to (?:this|submit)[^;]{0,60}rejected"
)
NO_MAILBOX: Final = (
    r"unknown (?:\w+ )?(?:user|recipient|mailbox|account|address|alias|local)|(?:user|recipient|"
    r"mailbox|account|alias|address) (?:is )?(?:unknown|not known)"
    r"|no such|no mailbox|not our customer"
    r"|(?:user|mail ?box|recipient|account|address|alias)\b[^;]{0,80}?(?:not found|n[o']t exist"
    r"|unavailable|not available|disabled|inactive|invalid|no longer|not (?:valid|active|exist)"
    r"|expired|suspended|deactivated|deleted|closed|cannot be delivered|undeliverable)"
    r"|(?:doesn't|does not) have an? |invalid (?:mailbox|recipient|user|alias)|unknown or illegal"
    r"|recipient (?:address )?rejected|unrout(?:e)?able|not accept (?:e?mail|messages)\b|null mx"
    r"|not a valid (?:rfc-?5321 )?(?:mailbox|recipient|user|address)|domain (?:\S+ )?not found"
    r"|host (?:or domain name )?not found|domain (?:lookup failed|does not exist)|nxdomain"
)
SENDER_REFUSED: Final = (
    r"sender(?:'s)? (?:e?mail )?(?:address )?(?:<\S*> )?(?:is |was |has been )?(?:rejected|refused|"
    r"denied|invalid|not |verif|unverified|mismatch|unknown)|send ?as ?denied|not owned by"
    r"|not (?:authori[sz]ed|permitted|allowed) to (?:send|use|submit)"
    r"(?!(?: e?mails?| messages?)? to\b)(?! this (?:recipient|group))"
    r"|not verified|(?<!rejected: )unverified"
    r"|(?:from|return[- ]?path) (?:address|domain|header|identity)"
    r"|mail from (?:address |domain )?(?:\S+ )?(?:must|is not|does not|rejected|not allowed)"
    r"|(?:your|sender|sending|smtp) (?:\w+ )?account\b[^;]{0,40}"
    r"(?:disabled|suspended|locked|blocked)"
    r"|sending (?:is |was |has been )?(?:suspended|paused|disabled)"
    r"|unresolvable|not match the authenticated|domain of sender|sender domain"
)
CONTENT: Final = (
    r"\bspam|unsolicited|virus|malware|malicious|phish|suspicious|attachment|junk|\bbulk\b|uribl"
    r"|surbl|content|policy (?:reasons|violation|that prohibited)|local policy|prohibited"
    r"|message (?:was |has been |is )?(?:rejected|blocked|refused|denied|not a(?:llow|ccept)ed)"
    r"|rfc[ -]?(?:2?822|5322|compliant)|malformed|bare (?:lf|cr|line)|missing a valid"
)
