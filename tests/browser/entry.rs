//! Adding tasks: what their words say, and that nothing of them is lost.

use serde_json::{Value, json};
use tests::{
    api::{Api, User},
    browser::{Page, page_url, with_browser},
};
use thirtyfour::Key;

/// Texts on Monday 30 November 2026, 10:00, and what they say: the title, then the due date, the priority and the tags.
const ENGLISH: &[(&str, &str)] = &[
    ("Buy milk tomorrow", "Buy milk | 2026-12-01"),
    ("Tomorrow: buy milk", "buy milk | 2026-12-01"),
    ("Buy TOMORROW milk", "Buy milk | 2026-12-01"),
    ("Buy milk tmr, #Home !1", "Buy milk | 2026-12-01 | !1 | #home"),
    ("Film tonight", "Film | 2026-11-30"),
    ("Pay rent fri", "Pay rent | 2026-12-04"),
    ("Pay rent by friday", "Pay rent | 2026-12-04"),
    ("Pay rent next fri", "Pay rent | 2026-12-11"),
    // A weekday is after today.
    ("Pay rent mon", "Pay rent | 2026-12-07"),
    ("Dentist 12 Mar", "Dentist | 2027-03-12"),
    ("Dentist March 12th, 2028 at 5pm", "Dentist | 2028-03-12 17:00"),
    ("Dentist 12 March 2027", "Dentist | 2027-03-12"),
    ("Dentist 2027-03-12", "Dentist | 2027-03-12"),
    ("Dentist 12/3", "Dentist | 2027-03-12"),
    ("Dentist 30 Nov", "Dentist | 2026-11-30"),
    ("Party 29 Feb", "Party | 2028-02-29"),
    ("Call in 3 days", "Call | 2026-12-03"),
    ("Call in a week", "Call | 2026-12-07"),
    ("Call in 3 months", "Call | 2027-02-28"),
    ("Call in 2 hours", "Call | 2026-11-30 12:00"),
    ("Call in 999 years", "Call | 3025-11-30"),
    ("Call next week", "Call | 2026-12-07"),
    ("Call next month", "Call | 2026-12-01"),
    ("Zahnarzt am 12. März 14:30", "Zahnarzt am 12. März 14:30"),
    ("Version 2. at 5pm", "Version 2. | 2026-11-30 17:00"),
    ("Call at 5pm", "Call | 2026-11-30 17:00"),
    // This time of today has passed.
    ("Call 9am", "Call | 2026-12-01 09:00"),
    ("Call tomorrow at 9:30", "Call | 2026-12-01 09:30"),
    ("Call mum tomorrow then at 5 p.m. bob", "Call mum then bob | 2026-12-01 17:00"),
    ("Call sun at 5pm", "Call | 2026-12-06 17:00"),
    // 23:59 stands for a day alone.
    ("Call sun 23:59", "Call | 2026-12-06"),
    ("Call mum - tomorrow", "Call mum | 2026-12-01"),
    ("x #été #日本 #a_b-c #X", "x | #été | #日本 | #a_b-c | #x"),
    ("a !1 b !3", "a !1 b | !3"),
    // The last date counts.
    ("friday meeting moved tomorrow", "friday meeting moved | 2026-12-01"),
    ("tomorrow", "tomorrow"),
    ("#home !2", "#home !2"),
    ("Check Monday.com", "Check Monday.com"),
    ("Add 1/2 cup", "Add 1/2 cup"),
    ("Open 24/7", "Open 24/7"),
    ("I may go", "I may go"),
    ("Only 5 may enter", "Only 5 may enter"),
    ("May 5 people come", "May 5 people come"),
    ("Sun cream", "Sun cream"),
    ("Watch the sun", "Watch the sun"),
    ("I sat down", "I sat down"),
    ("march on", "march on"),
    ("Wait a second", "Wait a second"),
    ("every friday run", "every friday run"),
    ("Review the Monday report", "Review the Monday report"),
    ("Black Friday deals", "Black Friday deals"),
    ("Open Mon - Fri", "Open Mon - Fri"),
    ("Open Monday to Friday", "Open Monday to Friday"),
    ("Meet 9am - 11am", "Meet 9am - 11am"),
    ("Trip Mar 12 - 14", "Trip Mar 12 - 14"),
    ("Move it to friday", "Move it to friday"),
    ("tomorrow's lunch", "tomorrow's lunch"),
    ("Upgrade to 12.3.", "Upgrade to 12.3."),
    ("Party 30 Feb", "Party 30 Feb"),
    ("Call in 1000 days", "Call in 1000 days"),
    ("in # days x", "in # days x"),
    ("Lap 1:30 hard", "Lap 1:30 hard"),
    ("Buy 12 eggs", "Buy 12 eggs"),
    ("Mar, 12 eggs", "Mar, 12 eggs"),
    ("Fix bug #123", "Fix bug #123"),
    ("Learn C#", "Learn C#"),
    ("See https://x/y#z", "See https://x/y#z"),
    ("Wow !!! !5", "Wow !!! !5"),
    ("Read \"Tomorrow never dies\" fri", "Read \"Tomorrow never dies\" | 2026-12-04"),
    ("Say \\tomorrow fri", "Say tomorrow | 2026-12-04"),
    ("Use \\#home", "Use #home"),
    ("Path C:\\today", "Path C:\\today"),
    ("Call Tom", "Call Tom"),
    ("Call Jan 5 pm", "Call Jan | 2026-11-30 17:00"),
    ("What is due tomorrow?", "What is due tomorrow?"),
    ("  spaced   out  ", "spaced   out"),
    ("spaced   fri   out", "spaced out | 2026-12-04"),
    ("", ""),
];

/// The same in other languages.
const OTHERS: &[(&str, &str, &str)] = &[
    ("en-US", "Dentist 12/3", "Dentist | 2026-12-03"),
    ("de-DE", "Milch morgen kaufen", "Milch kaufen | 2026-12-01"),
    ("de-DE", "Joggen am Morgen", "Joggen am Morgen"),
    ("de-DE", "Arzt am Freitag um 17 Uhr", "Arzt | 2026-12-04 17:00"),
    ("de-DE", "Arzt nächsten Freitag", "Arzt | 2026-12-11"),
    ("de-DE", "Arzt 12. März", "Arzt | 2027-03-12"),
    ("de-DE", "Arzt am 12.3.", "Arzt | 2027-03-12"),
    ("de-DE", "Version 12.3", "Version 12.3"),
    ("de-DE", "Anruf in 3 Tagen", "Anruf | 2026-12-03"),
    ("de-DE", "Anruf nächste Woche", "Anruf | 2026-12-07"),
    ("de-DE", "Mach es so", "Mach es so"),
    ("de-DE", "Montag bis Freitag arbeiten", "Montag bis Freitag arbeiten"),
    ("de-DE", "Buy milk tomorrow", "Buy milk | 2026-12-01"),
    ("fr-FR", "Dentiste vendredi à 17h30", "Dentiste | 2026-12-04 17:30"),
    ("fr-FR", "Dentiste le 1er janvier", "Dentiste | 2027-01-01"),
    ("fr-FR", "Pain aujourd'hui", "Pain | 2026-11-30"),
    ("fr-FR", "2h de sport", "2h de sport"),
    ("es-ES", "Médico el viernes a las 17:00", "Médico | 2026-12-04 17:00"),
    ("es-ES", "Médico 12 de marzo de 2027", "Médico | 2027-03-12"),
    ("es-ES", "Correr por la mañana", "Correr por la mañana"),
    ("pt-BR", "Médico na sexta-feira", "Médico | 2026-12-04"),
    ("ru", "Молоко завтра", "Молоко | 2026-12-01"),
    ("ru", "Врач 12 марта", "Врач | 2027-03-12"),
    ("ru", "Врач через 5 дней #дом", "Врач | 2026-12-05 | #дом"),
    ("ja", "牛乳 明日", "牛乳 | 2026-12-01"),
    ("ja", "歯医者 3月12日", "歯医者 | 2027-03-12"),
    ("ja", "電話 3日後", "電話 | 2026-12-03"),
    ("ar-EG", "حليب غدًا", "حليب | 2026-12-01"),
    ("ar-EG", "طبيب ١٢ مارس", "طبيب | 2027-03-12"),
    // Nothing of a language that the person does not have.
    ("fr-FR", "Milch morgen kaufen", "Milch morgen kaufen"),
    ("en-GB", "Acheter du pain demain", "Acheter du pain demain"),
];

/// Zones in which clocks change by half an hour, at midnight, or by a day, or that are far from UTC.
const ZONES: [&str; 6] =
    ["UTC", "Asia/Kolkata", "Pacific/Apia", "America/Sao_Paulo", "Australia/Lord_Howe", "America/St_Johns"];

/// Every text with what it says, as in the tables above.
async fn understood(page: &Page, texts: &[(&str, &str)]) -> Value {
    let script = format!(
        "const {{ parseEntry }} = await import('/web/entry.js');
         const {{ toFields }} = await import('/web/dates.js');
         const now = new Date(2026, 10, 30, 10);
         return {}.map(([language, text]) => {{
           const entry = parseEntry(text, {{ now, languages: [language] }});
           const {{ date, time }} = toFields(entry.due_date);
           const marks = [entry.priority && `!${{entry.priority}}`, ...entry.tags.map((name) => `#${{name}}`)];
           return [language, text, [entry.title, `${{date}} ${{time}}`.trim(), ...marks].filter(Boolean).join(' | ')];
         }})",
        json!(texts)
    );
    page.run_async(&script).await
}

#[tokio::test]
async fn the_words_of_a_new_task_say_when_and_what() {
    with_browser(async |page| {
        let english: Vec<_> = ENGLISH.iter().map(|(text, wanted)| ("en-GB", *text, *wanted)).collect();
        for zone in ["UTC", "Pacific/Apia", "America/Sao_Paulo"] {
            page.emulate_person(zone, &["en-GB"]).await;
            page.open(&page_url()).await;
            for table in [&english[..], OTHERS] {
                let texts: Vec<_> = table.iter().map(|(language, text, _)| (*language, *text)).collect();
                assert_eq!(understood(page, &texts).await, json!(table), "{zone}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_day_without_a_time_ends_with_the_persons_own_day_in_every_zone() {
    with_browser(async |page| {
        for zone in ZONES {
            page.emulate_person(zone, &["en-GB"]).await;
            page.open(&page_url()).await;
            let faults = page
                .run_async(
                    "const { dueState, dueText, fromFields, toFields } = await import('/web/dates.js');
                     const faults = [];
                     const two = (number) => String(number).padStart(2, '0');
                     for (let number = 0; number < 30 * 365; number += 1) {
                       const noon = new Date(2000, 0, 1 + number, 12);
                       const day = `${noon.getFullYear()}-${two(noon.getMonth() + 1)}-${two(noon.getDate())}`;
                       const due_date = fromFields(day, '');
                       const fields = toFields(due_date);
                       const task = { due_date, completed: false };
                       const end = new Date(due_date);
                       const next = new Date(end.getTime() + 60_000);
                       // Samoa had no 30 December 2011.
                       const isYesterday = next.getDate() - noon.getDate() === 2 || dueText(due_date, next) === 'yesterday';
                       const isRight =
                         fields.date === day && fields.time === '' &&
                         next.getDate() !== noon.getDate() &&
                         dueState(task, noon) === 'today' && dueState(task, next) === 'overdue' &&
                         dueText(due_date, noon) === 'today' && isYesterday;
                       if (!isRight) faults.push([day, due_date]);
                     }
                     return faults;",
                )
                .await;
            assert_eq!(faults, json!([]), "{zone}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_due_date_is_shown_in_the_persons_language() {
    let shown = [
        ("en-GB", ["today", "tomorrow 17:00", "yesterday", "Wednesday", "7 Dec", "9 Jan 2027"]),
        ("de-DE", ["heute", "morgen 17:00", "gestern", "Mittwoch", "7. Dez.", "9. Jan. 2027"]),
        ("ja", ["今日", "明日 17:00", "昨日", "水曜日", "12月7日", "2027年1月9日"]),
    ];
    with_browser(async |page| {
        for (language, texts) in shown {
            page.emulate_person("Europe/Berlin", &[language]).await;
            page.open(&page_url()).await;
            let script = "const { dueText, fromFields } = await import('/web/dates.js');
                const days = [['2026-11-30', ''], ['2026-12-01', '17:00'], ['2026-11-29', ''], ['2026-12-02', ''],
                              ['2026-12-07', ''], ['2027-01-09', '']];
                return days.map((fields) => dueText(fromFields(...fields), new Date(2026, 10, 30, 10)))";
            assert_eq!(page.run_async(script).await, json!(texts));
        }
    })
    .await;
}

#[tokio::test]
async fn nothing_typed_gives_a_date_that_the_api_refuses() {
    with_browser(async |page| {
        page.open(&page_url()).await;
        let dates = page
            .run_async(
                "const { fromFields } = await import('/web/dates.js');
                 const fields = [['', ''], ['2026-02-30', ''], ['275760-01-01', ''], ['12026-01-01', '10:00'], ['9999-12-30', '']];
                 return fields.map((each) => fromFields(...each)?.slice(0, 4) ?? null)",
            )
            .await;
        assert_eq!(dates, json!([null, null, null, null, "9999"]));
    })
    .await;
}

/// The list of a new user.
async fn open_list(page: &Page) -> User {
    let user = Api::shared().user().await;
    page.open(&page_url()).await;
    page.sign_in(&user.email).await;
    page.tab_to("New task").await;
    user
}

/// What the page says that it understood.
async fn pills(page: &Page) -> Value {
    page.run("return [...document.querySelectorAll('#understood .pill')].map((it) => it.textContent)").await
}

/// The tasks that the server has once these many are shown and sent; the newest first.
async fn tasks(user: &User, page: &Page, count: usize) -> Vec<Value> {
    page.wait_for("the rows", &format!("document.querySelectorAll('.task').length === {count}")).await;
    page.wait_until_sent().await;
    user.get("/tasks").await.expect(200).body.as_array().expect("a list").clone()
}

#[tokio::test]
async fn what_was_understood_is_shown_before_enter_and_can_be_taken_back() {
    with_browser(async |page| {
        let user = open_list(page).await;
        page.replace_text("Call mum tomorrow 5pm #home !2").await;
        // The time is in the form of the machine's own language.
        let due = "new Date(2026, 0, 1, 17).toLocaleTimeString([], { hour: 'numeric', minute: 'numeric' })";
        let due = format!("Due tomorrow {}", page.run(&format!("return {due}")).await.as_str().expect("a time"));
        assert_eq!(pills(page).await, json!([due, "#home", "Priority 2"]));
        page.wait_for(
            "the words to be said",
            "document.getElementById('understood-aloud').textContent.includes('#home')",
        )
        .await;
        page.press_button("Keep as words: tomorrow 5pm").await;
        assert_eq!(pills(page).await, json!(["#home", "Priority 2"]));
        assert_eq!(page.focused().await, "New task");
        page.press(Key::Enter).await;
        let task = tasks(&user, page, 1).await.remove(0);
        assert_eq!(task["title"], "Call mum tomorrow 5pm");
        assert_eq!((&task["due_date"], &task["priority"], &task["tags"]), (&Value::Null, &json!(2), &json!(["home"])));

        // It holds for that task alone.
        page.replace_text("Call dad tomorrow 5pm").await;
        assert_eq!(pills(page).await, json!([due]));
        page.press(Key::Enter).await;
        assert!(tasks(&user, page, 2).await[0]["due_date"].is_string());
        assert_eq!(pills(page).await, json!([]));
    })
    .await;
}

#[tokio::test]
async fn each_line_of_a_pasted_list_is_a_task() {
    let paste = |text: &str| {
        format!(
            "const clipboardData = new DataTransfer();
             clipboardData.setData('text/plain', {});
             const event = new ClipboardEvent('paste', {{ clipboardData, bubbles: true, cancelable: true }});
             document.getElementById('add-title').dispatchEvent(event)",
            json!(text)
        )
    };
    with_browser(async |page| {
        let user = open_list(page).await;
        page.run(&paste("- [ ] Milk #shop\r\n\r\n* Eggs\n3. Bread\n")).await;
        assert_eq!(pills(page).await, json!(["3 tasks, one per line", "#shop"]));
        page.press(Key::Enter).await;
        page.wait_for_titles(&["Milk", "Eggs", "Bread"]).await;
        assert_eq!(tasks(&user, page, 3).await[0]["tags"], json!(["shop"]));

        page.run(&paste("Paint\nthe fence")).await;
        page.press_button("Make it one task").await;
        assert_eq!(pills(page).await, json!([]));
        page.press(Key::Enter).await;
        page.wait_for_titles(&["Paint the fence", "Milk", "Eggs", "Bread"]).await;
    })
    .await;
}

#[tokio::test]
async fn what_the_api_would_refuse_stays_in_the_field() {
    with_browser(async |page| {
        open_list(page).await;
        page.press(Key::Enter).await;
        page.wait_for_text("Must not be empty.").await;
        let many_tags: Vec<_> = ('a'..='u').map(|letter| format!("#{letter}")).collect();
        for (text, error) in [
            ("🦀".repeat(501), "Must be at most 500 characters long."),
            (format!("x {}", many_tags.join(" ")), "Must have at most 20 tags."),
        ] {
            page.run(&format!("document.getElementById('add-title').value = {}", json!(text))).await;
            page.press(Key::Enter).await;
            page.wait_for_text(error).await;
            assert_eq!(page.run("return document.getElementById('add-title').value").await, text.as_str());
            assert_eq!(page.focused().await, "New task");
        }
        assert!(page.titles().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn unsaved_words_survive_escape_and_a_reload() {
    with_browser(async |page| {
        let user = open_list(page).await;
        page.replace_text("Buy milk tomorrow").await;
        page.press_button("Add a description").await;
        page.fill("Description of the new task", "Two bottles").await;
        page.press(Key::Escape).await;
        page.reload().await;
        page.wait_for_list().await;
        page.wait_for("the words", "document.getElementById('add-title').value === 'Buy milk tomorrow'").await;
        assert_eq!(pills(page).await, json!(["Due tomorrow"]));
        page.tab_to("Description of the new task").await;
        page.press_with_control(Key::Enter).await;
        assert_eq!(tasks(&user, page, 1).await[0]["description"], "Two bottles");
        page.reload().await;
        page.wait_for_list().await;
        assert_eq!(page.run("return document.getElementById('add-title').value").await, "");
    })
    .await;
}
