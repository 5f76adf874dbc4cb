fluxrig signed-passport 1
{"number":3,"signed_unix_ms":1795242117000,"mixer":"lab","rack":"north","key":"ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c","labels":{"site":"lisbon"},"part":{"scenario":"switch","version":"1.0.0","whole":"0505050505050505050505050505050505050505050505050505050505050505","text":"{}","wires":[{"wire":"w1","from":"north","to":"south"}]}}
key fd1724385aa0c75b64fb78cd602fa1d991fdebf76b13c58ed702eac835e9f618
signature 30bf5627297035787de4d8e7bf31007e37ff8b7e4443579fb22247ad484096c2329f122105f9cc668d167a1eaaa74a6c5b8891f9115307c26585968731a42102
