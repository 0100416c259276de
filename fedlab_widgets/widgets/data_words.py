"""What "?" says in the panels for data and predictions of one's own, by what it stands beside."""

from .words import Word, explain

HERE = "Nothing is sent on: the rows stay in the memory of this kernel."

WORDS = {
    "your file": Word(
        "A table with one row a person (or thing) and one column a property: CSV (comma, semicolon or tab) or "
        "Parquet. The page hands it to the kernel, which on your own computer is the same machine; it is sent "
        "nowhere else.",
        "patients.csv, with the columns age, sex, hospital and readmitted.",
        "Save a sheet of your spreadsheet as CSV and choose it."),
    "a path": Word(
        "The place of a file on the machine where the kernel runs. It is read there and does not pass through the "
        "page, so it may be large.",
        "/home/ada/patients.parquet, or patients.csv beside the notebook.",
        "Use this for files above about 10 MB."),
    "outcome": Word(
        "The outcome is the column that the model learns to predict.",
        "readmitted, hired, or income above 50 000.",
        "Choose a column with few different values."),
    "favourable value": Word(
        "The favourable value is the outcome that is good to get; gaps between groups are gaps in getting it. Only "
        "you can know which one it is.",
        "yes for hired, but no for readmitted.",
        "Swap it, and see the sign of the gap turn."),
    "sensitive column": Word(
        "The sensitive column names the groups whose treatment is compared. It is not given to the model, but other"
        " columns may still reveal it.",
        "sex, or age group.",
        "Choose none to train without comparing groups."),
    "client": Word(
        explain("client").sentence + " This column says who holds each row.",
        "hospital: each hospital becomes one client.",
        "Choose none: the rows are then dealt out by the partition in the form."),
    "leaving columns out": Word(
        "Columns that are ticked are not given to the model. Those that look like IDs are suggested: a model would "
        "learn people by heart.",
        "patient_id, name, or a date as text.",
        "Leave out a column that gives the sensitive one away, and compare the two runs."),
    "missing values": Word(
        "What is done with gaps in the columns that the model is given. Rows without outcome, group or client are "
        "always left out, and counted.",
        "A category of its own: an unknown occupation is an occupation; an unknown age becomes the median, with a "
        "mark.",
        "Run both: whoever has gaps is often not just anybody."),
    "keeping a copy": Word(
        "Run folders then hold a copy of your rows (under 50 MB), so that a run can be resumed elsewhere. Without "
        "it they hold settings and figures, and a resume asks for the file again.",
        "Leave it unticked for data about people that must not be copied.",
        "Tick it only for rows that you may pass on with the run folder."),
    "using these data": Word(
        "Makes features of the columns and puts the data into the lab. Nothing is trained before you press Start.",
        "Ages become numbers around 0, towns a column of 0 and 1 each.",
        "Press it, then Start, and read who is served worst."),
    "the example": Word(
        "Makes a small table of predictions from data that come with the lab, to see what an audit shows before you"
        " have a file.",
        "Census answers, and who is predicted to earn well.",
        "Read it, then move the split beneath: nobody's prediction changes."),
    "the truth": Word(
        "The outcome is what was really true of a person, whatever was predicted.",
        "repaid: whether the loan was paid back.",
        "Choose the column of facts."),
    "prediction": Word(
        "The prediction is what a model or a person decided, written like the outcome: labels, not scores.",
        "granted: yes or no, not 0.83.",
        "Cut scores at a threshold in your spreadsheet first."),
    "client of a prediction": Word(
        explain("client").sentence + " This column says who holds each row.",
        "branch: each branch of a bank is a client.",
        "Choose none: the rows are then dealt at random to five made-up clients."),
    "reading": Word(
        "Counts who was given the favourable answer, by group and client, and how sure one can be. Nothing is "
        "trained.",
        "Of 651 women 9 %, of 1,349 men 23 % are predicted to earn well.",
        "Move the split beneath: the clients change, and the predictions do not."),
}
