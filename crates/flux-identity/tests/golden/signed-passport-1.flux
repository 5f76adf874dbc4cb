fluxrig signed-passport 1
{"number":3,"signed_unix_ms":1795242117000,"mixer":"lab","rack":"north","key":"ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c","labels":{"site":"lisbon"},"orders":{"duty":"drained","log_level":"debug","shutdowns":2,"part":{"scenario":"switch","version":"1.0.0","whole":"0505050505050505050505050505050505050505050505050505050505050505","text":"{}","wires":[{"wire":"w1","from":"north","to":"south"}]}}}
key fd1724385aa0c75b64fb78cd602fa1d991fdebf76b13c58ed702eac835e9f618
signature 8e1b3aaeb8ee85f6756c4889bae16ba06e887e29970918a630b0410bd4ad507271a490564bd12384fa3e77d2d8ce2909ebe03a4344a774e8d833d7cb54e2fe04
