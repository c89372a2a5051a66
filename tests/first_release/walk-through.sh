API=${API:-http://127.0.0.1:9000}
EMAIL="ada.$RANDOM.$RANDOM@example.com"
JSON='Content-Type: application/json'

# Sign up, then sign in: the token says who you are for an hour.
curl -fsS "$API/users/signup" -H "$JSON" -d '{"email": "'$EMAIL'", "password": "correct horse"}'
SESSION=$(curl -fsS "$API/users/signin" -H "$JSON" -d '{"email": "'$EMAIL'", "password": "correct horse"}')
TOKEN=$(sed -E 's/.*"token":"([^"]+)".*/\1/' <<<"$SESSION")
MINE=$API/users/$(sed -E 's/.*"user_id":"([^"]+)".*/\1/' <<<"$SESSION")

# Create a task, list all, complete it, delete it.
TASK=$(curl -fsS "$MINE/tasks" -H "Authorization: Bearer $TOKEN" -H "$JSON" -d '{"title": "Buy milk"}')
echo "$TASK"
TASK=$MINE/tasks/$(sed -E 's/^\{"id":"([^"]+)".*/\1/' <<<"$TASK")
curl -fsS "$MINE/tasks" -H "Authorization: Bearer $TOKEN"
curl -fsS -X PUT "$TASK" -H "Authorization: Bearer $TOKEN" -H "$JSON" -d '{"completed": true}'
curl -fsS -X DELETE "$TASK" -H "Authorization: Bearer $TOKEN"
